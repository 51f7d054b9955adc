"""The rules of single values: what a text must look like, and in words what to change when it does not. Pure."""
