package state

// becomeOwner does nothing: nobody here acts as another.
func becomeOwner(string) error { return nil }
