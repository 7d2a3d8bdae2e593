package config

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

// Options are what every Kafka client of an installation shares: where the brokers are, how to log in, and the client id
// "tasktier". It reads the files that k names.
func (k Kafka) Options() ([]kgo.Opt, error) {
	opts := []kgo.Opt{kgo.SeedBrokers(k.Brokers...), kgo.ClientID("tasktier")}
	tlsConfig, err := k.TLS.Config()
	if err != nil {
		return nil, fmt.Errorf("kafka.tls: %w", err)
	}
	if tlsConfig != nil {
		opts = append(opts, kgo.DialTLSConfig(tlsConfig))
	}
	if k.SASL.Mechanism == "" {
		return opts, nil
	}
	mechanism, err := k.SASL.mechanism()
	if err != nil {
		return nil, fmt.Errorf("kafka.sasl: %w", err)
	}
	return append(opts, kgo.SASL(mechanism)), nil
}

func (s SASL) mechanism() (sasl.Mechanism, error) {
	password, err := readPassword(s.PasswordFile)
	if err != nil {
		return nil, err
	}
	switch s.Mechanism {
	case "PLAIN":
		return plain.Auth{User: s.User, Pass: password}.AsMechanism(), nil
	case "SCRAM-SHA-256":
		return scram.Auth{User: s.User, Pass: password}.AsSha256Mechanism(), nil
	case "SCRAM-SHA-512":
		return scram.Auth{User: s.User, Pass: password}.AsSha512Mechanism(), nil
	}
	return nil, fmt.Errorf("mechanism %q is not known", s.Mechanism)
}
