package syncrun

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"edgesync/proto/monitoring"
	"edgesync/proto/shell"
	"edgesync/seal"
)

const (
	// cacheFile lies in the data directory, cacheKeyFile beside the private key:
	// who takes one has not got the other.
	cacheFile    = "config.sealed"
	cacheKeyFile = "config-cache-key.json"
	// cacheLife is how old a cached configuration may be.
	cacheLife = 7 * 24 * time.Hour
	// cacheFresh is how long a cached configuration needs not be confirmed.
	cacheFresh = time.Hour
	// maxCache is the longest file read.
	maxCache = 2 * maxConfig
)

// cache keeps the last good configuration, sealed, for a start while the
// gateway is away. What goes wrong with it costs that start, nothing else.
type cache struct {
	path   string
	keyset *seal.Keyset
	ad     []byte
	life   time.Duration
	now    func() time.Time

	mu sync.Mutex
	// kept is the version in the file and since when it is known to be right.
	kept  string
	since time.Time
	// unwritten is what could not be put into the file.
	unwritten *cached
}

// cached is what the file holds.
type cached struct {
	SavedAt   time.Time `json:"saved_at"`
	Version   string    `json:"version"`
	Gateway   string    `json:"gateway"`
	Heartbeat int32     `json:"heartbeat_interval_sec"`
	Poll      int32     `json:"config_poll_interval_sec"`
	Config    []byte    `json:"config"`
}

// openCache makes the cache of a service; nil where it has none.
func openCache(o Options) (*cache, error) {
	if o.Once || o.DataDir == "" || o.CacheLife < 0 {
		return nil, nil
	}
	key := o.CacheKey
	if key == "" {
		if o.Config.GatewaySecurity.TLS.KeyFile == "" {
			return nil, nil
		}
		key = filepath.Join(filepath.Dir(o.Config.Paths().Key), cacheKeyFile)
	}
	keyset, err := seal.OpenOrCreate(key)
	if err != nil {
		// It seals nothing but the cache, which the gateway's next word makes anew.
		_ = os.Remove(key)
		keyset, err = seal.OpenOrCreate(key)
	}
	if err != nil {
		return nil, fmt.Errorf("prepare cache of the configuration: %w", err)
	}
	return &cache{
		path: filepath.Join(o.DataDir, cacheFile), keyset: keyset, life: o.CacheLife, now: o.Now,
		ad: seal.AD("sync configuration", o.Config.AgentID, o.Config.Partition),
	}, nil
}

// save keeps a configuration that was applied.
func (c *cache) save(answer *monitoring.AgentConfigResponse, gateway string) error {
	if c == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.write(cached{
		Version: answer.GetConfigVersion(), Gateway: gateway, Config: answer.GetConfigJson(),
		Heartbeat: answer.GetHeartbeatIntervalSec(), Poll: answer.GetConfigPollIntervalSec(),
	})
}

// write puts what is right now into the file, or remembers it. The caller holds mu.
func (c *cache) write(now cached) error {
	now.SavedAt, c.unwritten = c.now(), &now
	plain, err := json.Marshal(now)
	if err != nil {
		return fmt.Errorf("encode configuration: %w", err)
	}
	sealed, err := c.keyset.Seal(plain, c.ad)
	if err != nil {
		return fmt.Errorf("seal configuration: %w", err)
	}
	if err := replaceFile(c.path, sealed); err != nil {
		return fmt.Errorf("cache configuration: %w", err)
	}
	c.kept, c.since, c.unwritten = now.Version, now.SavedAt, nil
	return nil
}

// confirm says that the gateway still has the cached version. The file is
// written again now and then, so that its age counts from the last such word.
func (c *cache) confirm() error {
	if c == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.unwritten != nil {
		return c.write(*c.unwritten)
	}
	if c.kept == "" || c.now().Sub(c.since).Abs() < cacheFresh {
		return nil
	}
	kept, err := c.read()
	if err != nil || kept.Version != c.kept {
		return err
	}
	return c.write(kept)
}

// load returns the configuration and the gateway that gave it. One that is too
// old is an error; fs.ErrNotExist says that there is none.
func (c *cache) load() (*monitoring.AgentConfigResponse, string, error) {
	if c == nil {
		return nil, "", fs.ErrNotExist
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	kept, err := c.read()
	if err != nil {
		return nil, "", err
	}
	// A clock that was set back makes it look as if it came from the future.
	if age := c.now().Sub(kept.SavedAt).Abs(); age > c.life {
		return nil, "", fmt.Errorf("use cached configuration: it is of %s, older than %s", kept.SavedAt.Format(time.RFC3339), shell.Duration(c.life))
	}
	c.kept, c.since = kept.Version, kept.SavedAt
	return &monitoring.AgentConfigResponse{
		ConfigVersion: kept.Version, ConfigJson: kept.Config, HeartbeatIntervalSec: kept.Heartbeat, ConfigPollIntervalSec: kept.Poll,
	}, kept.Gateway, nil
}

func (c *cache) read() (kept cached, err error) {
	info, err := os.Lstat(c.path)
	if err != nil {
		return cached{}, fmt.Errorf("read cached configuration: %w", err)
	}
	if !info.Mode().IsRegular() || info.Size() > maxCache {
		return cached{}, errors.New("read cached configuration: it is no file of ours")
	}
	sealed, err := os.ReadFile(c.path)
	if err != nil {
		return cached{}, fmt.Errorf("read cached configuration: %w", err)
	}
	plain, err := c.keyset.Open(sealed, c.ad)
	if err != nil {
		return cached{}, fmt.Errorf("read cached configuration: %w", err)
	}
	if err := json.Unmarshal(plain, &kept); err != nil {
		return cached{}, errors.New("read cached configuration: it is damaged")
	}
	return kept, nil
}

// forget removes the configuration: the gateway does not know this service.
func (c *cache) forget() {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.kept, c.unwritten = "", nil
	_ = os.Remove(c.path)
}

// clearUnfinished deletes what replaceFile left in the data directory when the
// process was killed. Nobody else may write there meanwhile.
func clearUnfinished(dir string) error {
	if dir == "" {
		return nil
	}
	entries, err := os.ReadDir(dir)
	for _, entry := range entries {
		random := filepath.Ext(entry.Name())
		base := strings.TrimSuffix(entry.Name(), random)
		ours := (base == cacheFile || base == reportsFile) && len(random) > 1 && strings.Trim(random[1:], "0123456789") == ""
		if ours && entry.Type().IsRegular() {
			err = errors.Join(err, os.Remove(filepath.Join(dir, entry.Name())))
		}
	}
	return err
}

// replaceFile writes a private file beside and puts it into place.
func replaceFile(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}
