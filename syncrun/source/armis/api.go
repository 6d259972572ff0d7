package armis

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"

	"edgesync/proto/payload"
	"edgesync/syncrun/source"
)

// Paths of the API below the endpoint.
const (
	tokenPath  = "/api/v1/access_token/"
	searchPath = "/api/v1/search/"
)

// page is an answer to a search.
type page struct {
	Results []device
	// Next is the offset of the next page; null, 0 or absent at the end.
	Next *source.ID
	// Total is how many devices the query finds, absent where it is not said.
	Total *source.Count
}

func (p *page) next() int64 {
	if p.Next == nil {
		return 0
	}
	return int64(*p.Next)
}

func (p *page) total() int64 {
	if p.Total == nil {
		return -1
	}
	return int64(*p.Total)
}

// device is a search result.
type device struct {
	ID               source.ID       `json:"id"`
	IPAddress        source.Texts    `json:"ipAddress"`
	IPv6             source.Texts    `json:"ipv6"`
	MACAddress       source.Texts    `json:"macAddress"`
	Name             source.Text     `json:"name"`
	Type             source.Text     `json:"type"`
	Category         source.Text     `json:"category"`
	Manufacturer     source.Text     `json:"manufacturer"`
	Model            source.Text     `json:"model"`
	OperatingSystem  source.Text     `json:"operatingSystem"`
	SerialNumber     source.Text     `json:"serialNumber"`
	Site             source.Named    `json:"site"`
	Tags             source.Texts    `json:"tags"`
	CustomProperties json.RawMessage `json:"customProperties"`
}

// shape is the device as every adapter has them. Armis lists what talks on the
// network, so whatever it lists is available.
func (d *device) shape(custom string) source.Device {
	shaped := source.Device{
		NativeID:     d.ID.String(),
		NativeKey:    payload.MetaArmisDeviceID,
		Name:         string(d.Name),
		IPs:          source.Addresses(append(d.IPAddress, d.IPv6...)...),
		MACs:         source.MACs(d.MACAddress...),
		Serial:       string(d.SerialNumber),
		Manufacturer: string(d.Manufacturer),
		Model:        string(d.Model),
		OS:           string(d.OperatingSystem),
		Type:         string(d.Type),
		Site:         string(d.Site),
		Tags:         d.Tags,
		CustomField:  source.Property(d.CustomProperties, custom),
	}
	if shaped.Type == "" {
		shaped.Type = string(d.Category)
	}
	return shaped
}

// decodeToken reads the answer to a request for an access token.
func decodeToken(body []byte) (string, error) {
	var answer struct {
		Data struct {
			AccessToken source.Text `json:"access_token"`
		} `json:"data"`
		Success bool        `json:"success"`
		Message source.Text `json:"message"`
	}
	if err := source.Decode(body, &answer); err != nil {
		return "", err
	}
	token := string(answer.Data.AccessToken)
	switch {
	case !answer.Success:
		return "", unsuccessful(source.ReasonToken, answer.Message)
	case token == "" || !source.Printable(token):
		return "", source.Errorf(source.ReasonAnswer, "the answer holds no access token")
	}
	return token, nil
}

// decodeSearch reads a page.
func decodeSearch(body []byte) (*page, error) {
	var answer struct {
		Data *struct {
			Next    *source.ID    `json:"next"`
			Total   *source.Count `json:"total"`
			Results []device      `json:"results"`
		} `json:"data"`
		Success bool        `json:"success"`
		Message source.Text `json:"message"`
	}
	if err := source.Decode(body, &answer); err != nil {
		return nil, err
	}
	switch {
	case !answer.Success:
		return nil, unsuccessful(source.ReasonQuery, answer.Message)
	case answer.Data == nil:
		return nil, source.Errorf(source.ReasonAnswer, "the answer holds no data")
	}
	return &page{Results: answer.Data.Results, Next: answer.Data.Next, Total: answer.Data.Total}, nil
}

func unsuccessful(reason source.Reason, message source.Text) error {
	if message == "" {
		return source.Errorf(reason, "the answer says success: false")
	}
	return source.Errorf(reason, "the answer says success: false (%s)", message)
}

// login exchanges the secret key for an access token.
func (r *run) login(ctx context.Context) error {
	call := source.Call{Path: tokenPath, Form: url.Values{"secret_key": {r.secret}}}
	err := r.client.JSON(ctx, call, func(body []byte) (err error) {
		r.token, err = decodeToken(body)
		return err
	})
	var failed *source.Error
	if errors.As(err, &failed) && (failed.Reason == source.ReasonPermission || failed.Reason == source.ReasonQuery) {
		// Nothing but the secret key is in the request that could be wrong.
		failed.Reason = source.ReasonToken
	}
	return err
}

// search reads the page of a query that begins at an offset. A token that is no
// longer accepted is renewed once; the same page is then asked for again.
func (r *run) search(ctx context.Context, query string, from int64) (*page, error) {
	found, err := r.searchOnce(ctx, query, from)
	var failed *source.Error
	if !errors.As(err, &failed) || failed.Status != http.StatusUnauthorized {
		return found, err
	}
	if err := r.login(ctx); err != nil {
		return nil, err
	}
	return r.searchOnce(ctx, query, from)
}

func (r *run) searchOnce(ctx context.Context, query string, from int64) (*page, error) {
	params := url.Values{
		"aql":    {query},
		"length": {strconv.Itoa(r.pageSize)},
		"from":   {strconv.FormatInt(from, 10)},
	}
	call := source.Call{Path: searchPath, Query: params.Encode(), Authorization: r.token}
	var found *page
	err := r.client.JSON(ctx, call, func(body []byte) (err error) {
		found, err = decodeSearch(body)
		return err
	})
	return found, err
}
