package embedded

import (
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"
)

// KeepSessions keeps the sessions of a cluster's group members until stop is called, as a stack does for its own.
func KeepSessions(cluster *kfake.Cluster, addr string, opts ...kgo.Opt) (stop func(), err error) {
	s, err := keepSessions(cluster, addr, zap.NewNop(), opts...)
	if err != nil {
		return nil, err
	}
	return s.close, nil
}
