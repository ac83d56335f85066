"""QuickBooks Online as the books side."""
