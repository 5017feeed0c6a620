"""The laboratory: the plane, small runs under watch, sweeps of them, broken students."""
