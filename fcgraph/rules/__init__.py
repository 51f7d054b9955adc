"""The validation rules: what each value must look like, and a message that says how to fix one that does not. Pure."""
