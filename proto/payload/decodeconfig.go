package payload

import (
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"
)

// DecodeConfig reads the config_json of GetConfig. Sources that are left out and
// an empty message are a configuration without sources. What is wrong with one
// source alone, such as an interval that is none or a field of a wrong type, is
// left to whoever runs it: the other sources go on. The error quotes no value, for
// it could be a credential.
func DecodeConfig(data []byte) (Config, error) {
	var config Config
	if len(data) > 0 {
		if !utf8.Valid(data) {
			return Config{}, errors.New("read configuration: it is not valid UTF-8")
		}
		err := json.Unmarshal(data, &config)
		var wrongType *json.UnmarshalTypeError
		if errors.As(err, &wrongType) {
			config, err = decodeApart(data)
		}
		if err != nil {
			return Config{}, fmt.Errorf("read configuration: %w", plain(err))
		}
	}
	if config.Sources == nil {
		config.Sources = map[string]Source{}
	}
	return config, nil
}

// whose are the fields without which nobody could say which source it is that is
// malformed, and whom to tell.
type whose struct {
	TenantID            string `json:"tenant_id"`
	TenantSlug          string `json:"tenant_slug"`
	SyncServiceID       string `json:"sync_service_id"`
	IntegrationSourceID string `json:"integration_source_id"`
}

// decodeApart reads each source by itself. Of a malformed one only whose it is is
// kept: a source is read wholly or not at all.
func decodeApart(data []byte) (Config, error) {
	config := Config{Sources: map[string]Source{}, Malformed: map[string]error{}}
	apart := struct {
		*Config
		Sources map[string]json.RawMessage `json:"sources"`
	}{Config: &config}
	if err := json.Unmarshal(data, &apart); err != nil {
		return Config{}, err
	}
	for key, raw := range apart.Sources {
		var s Source
		if err := json.Unmarshal(raw, &s); err != nil {
			var of whose
			if err := json.Unmarshal(raw, &of); err != nil {
				return Config{}, err
			}
			s = Source{TenantID: of.TenantID, TenantSlug: of.TenantSlug, SyncServiceID: of.SyncServiceID, IntegrationSourceID: of.IntegrationSourceID}
			config.Malformed[key] = plain(err)
		}
		config.Sources[key] = s
	}
	return config, nil
}
