package syncrun

import (
	"log/slog"
	"time"

	"github.com/cenkalti/backoff/v5"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// newBackoff is the pace of every repetition towards the gateway.
func newBackoff() *backoff.ExponentialBackOff {
	b := backoff.NewExponentialBackOff()
	b.InitialInterval = time.Second
	b.Multiplier = 2
	b.MaxInterval = time.Minute
	b.Reset()
	return b
}

// refused tells whether an answer of the gateway is its last word on what was
// sent: sending the same again would be answered the same.
func refused(err error) bool {
	switch status.Code(err) {
	case codes.InvalidArgument, codes.PermissionDenied:
		return true
	case codes.ResourceExhausted:
		_, again := retryInfo(err)
		return !again
	}
	return false
}

// retryInfo tells whether the gateway asks to be tried again, and after which
// pause; zero where it names none.
func retryInfo(err error) (pause time.Duration, again bool) {
	s, ok := status.FromError(err)
	if !ok {
		return 0, false
	}
	for _, detail := range s.Details() {
		if info, ok := detail.(*errdetails.RetryInfo); ok {
			return max(0, info.GetRetryDelay().AsDuration()), true
		}
	}
	return 0, false
}

// reason is an error as people read it: the gateway's own words, with the code.
func reason(err error) string {
	if s, ok := status.FromError(err); ok && s.Code() != codes.Unknown {
		return s.Message() + " (" + s.Code().String() + ")"
	}
	return err.Error()
}

// streak logs the first failure of a row and its end, and the others for whoever
// looks closer. It belongs to one goroutine or is guarded by its owner.
type streak struct{ count int }

func (s *streak) failed(log *slog.Logger, message string, args ...any) {
	s.count++
	if s.count == 1 {
		log.Warn(message, args...)
		return
	}
	log.Debug(message, append(args, "failures", s.count)...)
}

func (s *streak) recovered(log *slog.Logger, message string, args ...any) {
	if s.count > 0 {
		log.Info(message, append(args, "failures", s.count)...)
		s.count = 0
	}
}
