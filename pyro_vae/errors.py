"""The error that is the user's to mend."""


class InputError(ValueError):
    """What was asked for cannot be done; the message says why in one line, and a command ends with exit code 2."""
