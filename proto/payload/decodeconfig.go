package payload

import (
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"
)

// DecodeConfig reads the config_json of GetConfig. Sources that are left out and
// an empty message are a configuration without sources. What is wrong with one
// source alone, such as an interval that is none, is left to whoever runs it: the
// other sources go on. The error quotes no value, for it could be a credential.
func DecodeConfig(data []byte) (Config, error) {
	var config Config
	if len(data) > 0 {
		if !utf8.Valid(data) {
			return Config{}, errors.New("read configuration: it is not valid UTF-8")
		}
		if err := json.Unmarshal(data, &config); err != nil {
			return Config{}, fmt.Errorf("read configuration: %w", plain(err))
		}
	}
	if config.Sources == nil {
		config.Sources = map[string]Source{}
	}
	return config, nil
}
