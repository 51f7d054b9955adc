"""What payments refer to, as people bring it in."""
