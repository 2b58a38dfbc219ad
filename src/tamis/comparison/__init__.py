"""Compare finished runs on the same test events: paired differences with their significance."""
