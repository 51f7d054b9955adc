"""Reference data that people maintain: currencies and users."""
