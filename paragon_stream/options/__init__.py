"""What users may choose: every option is one field here, and all that shows or takes options reads it."""
