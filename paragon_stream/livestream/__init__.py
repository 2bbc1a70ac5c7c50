"""A live session: its stages, its meter, and `live()`, which plans and runs it."""
