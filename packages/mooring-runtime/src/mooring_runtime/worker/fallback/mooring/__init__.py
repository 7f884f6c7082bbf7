"""``mooring.scoring`` for environments without the ``mooring`` package, which comes first where it is installed."""
