package source

// Bounds of one answer beside its bytes. A value of a few bytes ("null") becomes
// a device of some hundred in memory, so bytes alone do not bound what decoding
// takes: of 32 MiB it made many gigabytes.
const (
	// maxElements is how many elements one list or object may have. It leaves room
	// for sources that answer all they hold in one page, whatever page is asked for.
	maxElements = 200_000
	// maxElementsInAll is how many all of them may have: about what the largest
	// answer holds of elements with eight bytes each.
	maxElementsInAll = 4 << 20
	// maxDepth is where the decoder gives up by itself.
	maxDepth = 10_000
)

// bounded refuses JSON with too many elements. It counts commas; what is not JSON
// is left for the decoder to say.
func bounded(body []byte) error {
	counts, all, quoted := []int{0}, 0, false
	for i := 0; i < len(body); i++ {
		switch char := body[i]; {
		case quoted && char == '\\':
			i++
		case char == '"':
			quoted = !quoted
		case quoted:
		case char == '[' || char == '{':
			if len(counts) > maxDepth {
				return nil
			}
			counts = append(counts, 0)
		case char == ']' || char == '}':
			if len(counts) > 1 {
				counts = counts[:len(counts)-1]
			}
		case char == ',':
			all++
			counts[len(counts)-1]++
			if counts[len(counts)-1] >= maxElements {
				return Errorf(ReasonSize, "the answer holds a list of more than %d elements", maxElements)
			}
			if all >= maxElementsInAll {
				return Errorf(ReasonSize, "the answer holds more than %d elements", maxElementsInAll)
			}
		}
	}
	return nil
}
