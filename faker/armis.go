package faker

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"encoding/hex"
	"net/http"
	"strconv"
	"strings"
	"time"

	"edgesync/faker/inventory"
)

// How many results an Armis page holds when not asked, and at the most.
const (
	armisPage    = 100
	armisMaxPage = 1000
)

// armisTime is how Armis writes the time.
const armisTime = "2006-01-02T15:04:05.999999-07:00"

type armisAnswer struct {
	Data    any    `json:"data,omitempty"`
	Message string `json:"message,omitempty"`
	Success bool   `json:"success"`
}

type armisToken struct {
	AccessToken   string `json:"access_token"`
	ExpirationUTC string `json:"expiration_utc"`
}

type armisResults struct {
	Count   int           `json:"count"`
	Next    *int          `json:"next"`
	Prev    *int          `json:"prev"`
	Results []armisDevice `json:"results"`
	Total   int           `json:"total"`
}

type armisDevice struct {
	ID               int               `json:"id"`
	IPAddress        string            `json:"ipAddress"`
	MACAddress       string            `json:"macAddress"`
	Name             string            `json:"name"`
	Type             string            `json:"type"`
	Category         string            `json:"category"`
	Manufacturer     string            `json:"manufacturer"`
	Model            string            `json:"model"`
	OperatingSystem  string            `json:"operatingSystem"`
	SerialNumber     string            `json:"serialNumber"`
	FirstSeen        string            `json:"firstSeen"`
	LastSeen         string            `json:"lastSeen"`
	RiskLevel        int               `json:"riskLevel"`
	Boundaries       string            `json:"boundaries"`
	Tags             []string          `json:"tags"`
	CustomProperties map[string]string `json:"customProperties"`
	Site             armisSite         `json:"site"`
}

type armisSite struct {
	Name     string `json:"name"`
	Location string `json:"location"`
}

// refusal is an error as Armis words it.
func refusal(status int, message string) answer {
	return answer{status: status, body: armisAnswer{Message: message}}
}

func (s *Server) accessToken(r *http.Request) answer {
	r.Body = http.MaxBytesReader(nil, r.Body, 64<<10)
	secret := r.PostFormValue("secret_key")
	if subtle.ConstantTimeCompare([]byte(secret), []byte(s.options.Secret)) != 1 {
		return refusal(http.StatusForbidden, "Invalid secret key.")
	}
	life := s.options.TokenLife
	if shorter := s.faults.Load().TokenLife; shorter > 0 {
		life = shorter
	}
	expires := s.options.Now().Add(life)
	return answer{status: http.StatusOK, body: armisAnswer{Success: true, Data: armisToken{
		AccessToken:   s.sign(expires, s.generation.Load()),
		ExpirationUTC: expires.UTC().Format(armisTime),
	}}}
}

// sign makes a token that says itself when it ends, so none need be remembered.
func (s *Server) sign(expires time.Time, generation uint64) string {
	var claims [16]byte
	binary.BigEndian.PutUint64(claims[:8], uint64(expires.UnixNano()))
	binary.BigEndian.PutUint64(claims[8:], generation)
	mac := hmac.New(sha256.New, []byte(s.options.Secret))
	mac.Write(claims[:])
	return hex.EncodeToString(mac.Sum(claims[:]))
}

func (s *Server) admits(token string) bool {
	raw, err := hex.DecodeString(token)
	if err != nil || len(raw) != 16+sha256.Size {
		return false
	}
	expires := time.Unix(0, int64(binary.BigEndian.Uint64(raw[:8])))
	generation := binary.BigEndian.Uint64(raw[8:16])
	return subtle.ConstantTimeCompare([]byte(token), []byte(s.sign(expires, generation))) == 1 &&
		generation == s.generation.Load() && s.options.Now().Before(expires)
}

func (s *Server) search(r *http.Request) answer {
	if !s.admits(r.Header.Get("Authorization")) {
		return refusal(http.StatusUnauthorized, "Invalid access token.")
	}
	params := r.URL.Query()
	query, err := parseAQL(params.Get("aql"))
	if err != nil {
		return refusal(http.StatusBadRequest, "Invalid AQL: "+err.Error())
	}
	length, errLength := number(params.Get("length"), armisPage)
	from, errFrom := number(params.Get("from"), 0)
	if errLength != nil || errFrom != nil || length < 1 {
		return refusal(http.StatusBadRequest, "length and from must be whole numbers.")
	}
	return answer{status: http.StatusOK, body: armisAnswer{Success: true, Data: s.results(query, from, min(length, armisMaxPage))}}
}

// number reads a count that may be absent.
func number(text string, absent int) (int, error) {
	if text == "" {
		return absent, nil
	}
	n, err := strconv.ParseUint(text, 10, 31)
	return int(n), err
}

func (s *Server) results(query aql, from, length int) armisResults {
	matches := s.queries.of(query, s.counts.Armis, s.armisDevice)
	endless := s.faults.Load().EndlessNext && matches.total > 0
	start := from
	if endless {
		start = from % matches.total
	}
	page := armisResults{Results: []armisDevice{}, Total: matches.total}
	epoch, now := s.Epoch(), s.options.Now()
	matches.each(start, length, func(index int) {
		page.Results = append(page.Results, shapeArmis(s.inventory.Device(inventory.Armis, index, epoch), now))
	})
	page.Count = len(page.Results)
	if next := from + page.Count; endless || next < matches.total && page.Count > 0 {
		page.Next = &next
	}
	if from > 0 {
		prev := max(0, from-length)
		page.Prev = &prev
	}
	return page
}

func (s *Server) armisDevice(index int) inventory.Device {
	return s.inventory.Device(inventory.Armis, index, 0)
}

func shapeArmis(device inventory.Device, now time.Time) armisDevice {
	addresses := make([]string, len(device.Addresses))
	for i, addr := range device.Addresses {
		addresses[i] = addr.String()
	}
	return armisDevice{
		ID:              device.Index + 1,
		IPAddress:       strings.Join(addresses, ","),
		MACAddress:      strings.ToUpper(strings.Join(device.MACs, ",")),
		Name:            device.Name,
		Type:            device.Type,
		Category:        device.Category,
		Manufacturer:    device.Manufacturer,
		Model:           device.Model,
		OperatingSystem: device.OS,
		SerialNumber:    device.Serial,
		FirstSeen:       device.FirstSeen.Format(armisTime),
		LastSeen:        now.Add(-time.Duration(device.Index%600) * time.Second).UTC().Format(armisTime),
		RiskLevel:       device.Risk,
		Boundaries:      device.Boundary,
		Tags:            device.Tags,
		Site:            armisSite{Name: device.Site, Location: device.Site},

		CustomProperties: map[string]string{"Owner": "IT " + device.Site},
	}
}
