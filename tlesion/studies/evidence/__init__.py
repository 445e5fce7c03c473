"""What a report gathers beside a profile."""
