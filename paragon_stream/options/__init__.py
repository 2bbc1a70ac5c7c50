"""The options of users. Each option is one field here; signatures, help texts and parsers are made from
it."""
