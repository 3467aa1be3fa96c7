"""Other programs' formats: what a profile is turned into and made from, exactly or not at all."""
