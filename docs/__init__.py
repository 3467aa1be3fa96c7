"""The pages of the documentation site, and in `making` what makes it of them."""
