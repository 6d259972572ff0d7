package relational

// Rows are rows on their way into a statement, column by column: one statement
// carries any number of them. A query reads them as the table "rows(?)", whose
// columns have the names of these.
type Rows struct {
	Columns []Column
}

// NewRows are rows of columns that are filled afterwards, all to one length.
func NewRows(columns ...Column) *Rows { return &Rows{columns} }

// Len is the number of rows.
func (r *Rows) Len() int { return r.Columns[0].Len() }

// Width is the number of columns.
func (r *Rows) Width() int { return len(r.Columns) }

// Cell is one of a row and a column.
func (r *Rows) Cell(row, column int) any { return r.Columns[column].Cell(row) }

// Column is a named column of cells of one type: *Ints, *Texts, *Blobs or *Truths.
type Column interface {
	Name() string
	Len() int
	// Cell is nil, an int64, a string, a []byte or a bool.
	Cell(row int) any
}

// Ints are whole numbers, or NULL.
type Ints struct {
	name  string
	Cells []int64
	// Nulls tells of each cell whether it is NULL; it is nil while none is.
	Nulls []bool
}

// NewInts is an empty column with room for n.
func NewInts(name string, n int) *Ints { return &Ints{name: name, Cells: make([]int64, 0, n)} }

// Name is the column's name.
func (c *Ints) Name() string { return c.name }

// Len is the number of cells.
func (c *Ints) Len() int { return len(c.Cells) }

// Add appends a cell.
func (c *Ints) Add(n int64) {
	c.Cells = append(c.Cells, n)
	if c.Nulls != nil {
		c.Nulls = append(c.Nulls, false)
	}
}

// AddNull appends a NULL.
func (c *Ints) AddNull() {
	if c.Nulls == nil {
		c.Nulls = make([]bool, len(c.Cells), cap(c.Cells))
	}
	c.Cells, c.Nulls = append(c.Cells, 0), append(c.Nulls, true)
}

// IsNull tells whether a cell is NULL.
func (c *Ints) IsNull(row int) bool { return c.Nulls != nil && c.Nulls[row] }

// Cell is nil or an int64.
func (c *Ints) Cell(row int) any {
	if c.IsNull(row) {
		return nil
	}
	return c.Cells[row]
}

// Texts are strings.
type Texts struct {
	name  string
	Cells []string
}

// NewTexts is an empty column with room for n.
func NewTexts(name string, n int) *Texts { return &Texts{name, make([]string, 0, n)} }

// Name is the column's name.
func (c *Texts) Name() string { return c.name }

// Len is the number of cells.
func (c *Texts) Len() int { return len(c.Cells) }

// Add appends a cell.
func (c *Texts) Add(text string) { c.Cells = append(c.Cells, text) }

// Cell is a string.
func (c *Texts) Cell(row int) any { return c.Cells[row] }

// Blobs are bytes.
type Blobs struct {
	name  string
	Cells [][]byte
}

// NewBlobs is an empty column with room for n.
func NewBlobs(name string, n int) *Blobs { return &Blobs{name, make([][]byte, 0, n)} }

// Name is the column's name.
func (c *Blobs) Name() string { return c.name }

// Len is the number of cells.
func (c *Blobs) Len() int { return len(c.Cells) }

// Add appends a cell.
func (c *Blobs) Add(blob []byte) { c.Cells = append(c.Cells, blob) }

// Cell is a []byte.
func (c *Blobs) Cell(row int) any { return c.Cells[row] }

// Truths are true or false.
type Truths struct {
	name  string
	Cells []bool
}

// NewTruths is an empty column with room for n.
func NewTruths(name string, n int) *Truths { return &Truths{name, make([]bool, 0, n)} }

// Name is the column's name.
func (c *Truths) Name() string { return c.name }

// Len is the number of cells.
func (c *Truths) Len() int { return len(c.Cells) }

// Add appends a cell.
func (c *Truths) Add(truth bool) { c.Cells = append(c.Cells, truth) }

// Cell is a bool.
func (c *Truths) Cell(row int) any { return c.Cells[row] }
