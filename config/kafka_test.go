package config

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

func TestKafkaOptionsLogIn(t *testing.T) {
	dir := t.TempDir()
	ca, server := selfSigned(t, dir)
	file := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	right, wrong := file("right", "pass word\r\n"), file("wrong", "guess")

	for _, mechanism := range []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"} {
		cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.TLS(server), kfake.EnableSASL(), kfake.Superuser(mechanism, "user", "pass word"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(cluster.Close)
		k := Default().Kafka
		k.Brokers = cluster.ListenAddrs()
		k.TLS = TLS{Enabled: true, CA: ca}
		k.SASL = SASL{mechanism, "user", right}
		if err := ping(t, k); err != nil {
			t.Errorf("%s: %v", mechanism, err)
		}
		k.SASL.PasswordFile = wrong
		if err := ping(t, k); err == nil {
			t.Errorf("%s: logged in with a wrong password", mechanism)
		}
		k.SASL.PasswordFile, k.TLS.CA = right, ""
		if err := ping(t, k); err == nil {
			t.Errorf("%s: trusts a server whose certificate nobody signed", mechanism)
		}
	}
}

func ping(t *testing.T, k Kafka) error {
	t.Helper()
	opts, err := k.Options()
	if err != nil {
		t.Fatal(err)
	}
	client, err := kgo.NewClient(append(opts, kgo.RetryTimeout(time.Second), kgo.RequestRetries(1))...)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	return client.Ping(ctx)
}

func TestKafkaOptionsNameTheFile(t *testing.T) {
	text := filepath.Join(t.TempDir(), "text")
	if err := os.WriteFile(text, []byte("no pem"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, k := range map[string]Kafka{
		"missing password": {SASL: SASL{"PLAIN", "u", text + "2"}},
		"missing ca":       {TLS: TLS{Enabled: true, CA: text + "2"}},
		"wrong ca":         {TLS: TLS{Enabled: true, CA: text}},
		"wrong key":        {TLS: TLS{Enabled: true, Cert: text, Key: text}},
	} {
		if _, err := k.Options(); err == nil || !strings.Contains(err.Error(), text) || !strings.HasPrefix(err.Error(), "kafka.") {
			t.Errorf("%s: %v, want the key and the file named", name, err)
		}
	}
}

// selfSigned writes a certificate for 127.0.0.1 that is its own authority, and returns its path and a server's use of it.
func selfSigned(t *testing.T, dir string) (ca string, server *tls.Config) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	ca = filepath.Join(dir, "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return ca, &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
}
