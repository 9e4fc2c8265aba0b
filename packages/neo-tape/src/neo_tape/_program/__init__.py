"""Programs: functions as flat lists of ops, recorded as they run."""
