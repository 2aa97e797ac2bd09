"""What endpoints and clusters give back."""
