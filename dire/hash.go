package dire

// ContentHash is what an assertion of these facts in a partition has for its
// Hash.
func ContentHash(partition string, facts Facts) [32]byte {
	var d digest
	return d.sum(partition, &facts)
}
