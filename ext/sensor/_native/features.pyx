"""The enums of features.pxd for Python."""
