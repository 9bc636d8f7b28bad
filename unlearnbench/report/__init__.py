"""From records to tables and figures. Imports no torch."""
