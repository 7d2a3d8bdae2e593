package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
)

const (
	// configVariable names the config file where no flag does.
	configVariable = "TASKTIER_CONFIG"
	// configFile is read where nothing names a file, if it is there.
	configFile = "tasktier.yaml"
	// maxConfigSize is far above any config, and far below a file of tasks given by mistake.
	maxConfigSize = 1 << 20
)

// Load reads the configuration: the defaults, over them the file, over it the environment ("NAME=value", as
// [os.Environ] returns it). Flags go over both: set the fields, then call [Config.Validate], which Load does not.
//
// The file is path; if that is empty, the one that TASKTIER_CONFIG names; else ./tasktier.yaml if it is there; else
// none, which means [Default].
//
// Keys map to variables by upper case and underscores: TASKTIER_KAFKA_BROKERS=a:9092,b:9092 (lists split at commas),
// TASKTIER_QUEUES_TASKS_WEIGHT=3. An empty variable makes a text or a list empty and leaves other keys alone. Names of
// queues, types and schedules match in upper case with '_' for what is neither letter nor digit; a variable may add a
// queue (in lower case), but no type and no schedule. Variables of the prefix that are no keys are refused, but for
// TASKTIER_CONFIG, TASKTIER_TEST_*, TASKTIER_TASK_* and TASKTIER_HEADER_* (which exec handlers are given) and what
// Kubernetes sets for services called tasktier or tasktier-something (TASKTIER_SERVICE_HOST, TASKTIER_PORT_9400_TCP and
// the like).
//
// Everything wrong with the content is one [*Error]; so is a named file that is missing or not readable.
func Load(path string, environ []string) (Config, error) {
	vars := variables(environ)
	path, named := pathOf(path, vars)
	data, err := readConfig(path)
	if errors.Is(err, fs.ErrNotExist) && !named {
		cfg := Default()
		return finish(cfg, cfg.applyEnv(vars))
	}
	if err != nil {
		return Config{}, &Error{[]Problem{{Where: path, Message: cause(err).Error()}}}
	}
	cfg, wrong := parseConfig(path, data)
	if len(wrong) == 0 { // else variables would be judged against half a file
		wrong = cfg.applyEnv(vars)
	}
	return finish(cfg, wrong)
}

// finish drops servers whose list of addresses was emptied: the one way a variable can say that there is none.
func finish(cfg Config, wrong problems) (Config, error) {
	if err := wrong.err(); err != nil {
		return Config{}, err
	}
	if cfg.Redis != nil && len(cfg.Redis.Addresses) == 0 {
		cfg.Redis = nil
	}
	if cfg.Etcd != nil && len(cfg.Etcd.Endpoints) == 0 {
		cfg.Etcd = nil
	}
	return cfg, nil
}

func pathOf(path string, vars map[string]string) (_ string, named bool) {
	if path == "" {
		path = vars[configVariable]
	}
	if path == "" {
		return configFile, false
	}
	return path, true
}

func readConfig(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxConfigSize+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxConfigSize {
		return nil, fmt.Errorf("larger than %v: this is no config file", Bytes(maxConfigSize))
	}
	return data, nil
}

// cause is err without the path, which the problem names already.
func cause(err error) error {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return p.Err
	}
	return err
}

// variables are those of ours in environ, by name. Of a name given twice the last counts, as in a shell.
func variables(environ []string) map[string]string {
	vars := map[string]string{}
	for _, e := range environ {
		if name, value, ok := strings.Cut(e, "="); ok && strings.HasPrefix(name, envPrefix) {
			vars[name] = value
		}
	}
	return vars
}
