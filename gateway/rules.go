package gateway

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"edgesync/proto/monitoring"
	"edgesync/proto/payload"
)

// check holds one message to the rules of the stream before its content is
// looked at.
func (in *intake) check(ctx context.Context, message *monitoring.GatewayStatusChunk) error {
	if _, err := in.admit(ctx, operationStream); err != nil {
		return err
	}
	if err := in.checkAgent(ctx, message.GetAgentId()); err != nil {
		return err
	}
	if err := in.checkTenant(ctx, message); err != nil {
		return err
	}
	if problem := in.disorder(message); problem != "" {
		return in.refuse(codes.InvalidArgument, ReasonChunkOrder, problem)
	}
	if in.services += len(message.GetServices()); in.services > payload.MaxServices {
		return in.refuse(codes.ResourceExhausted, ReasonTooManyServices,
			fmt.Sprintf("the stream holds more than %d services", payload.MaxServices))
	}
	return nil
}

func (in *intake) checkAgent(ctx context.Context, agentID string) error {
	if in.index > 0 && agentID != "" && agentID != in.peer.Component {
		return in.refuse(codes.InvalidArgument, ReasonAgentIDChanged,
			fmt.Sprintf("agent_id changed in chunk %d; it must be %q throughout the stream", in.index, in.peer.Component))
	}
	return in.own(ctx, in.peer, operationStream, agentID)
}

// checkTenant finds the tenant a platform service acts for. For others the
// certificate has said it, and what the message says is compared once a stream.
func (in *intake) checkTenant(ctx context.Context, message *monitoring.GatewayStatusChunk) error {
	named := message.GetTenantId()
	if !actsForTenants(in.peer) {
		if in.index == 0 {
			in.compareTenant(ctx, in.peer, operationStream, named, message.GetTenantSlug())
		}
		return nil
	}
	id, err := uuid.Parse(named)
	if err != nil {
		return in.refuse(codes.InvalidArgument, ReasonTenantMissing,
			"tenant_id is not a tenant's UUID; each chunk of a platform service names the tenant it acts for")
	}
	if in.index == 0 {
		in.tenantID = id.String()
	}
	if in.tenantID != id.String() {
		return in.refuse(codes.InvalidArgument, ReasonTenantChanged,
			fmt.Sprintf("tenant_id changed in chunk %d; a stream is of one tenant", in.index))
	}
	return nil
}

// disorder says what is wrong with the place of a message in its stream, or
// nothing.
func (in *intake) disorder(message *monitoring.GatewayStatusChunk) string {
	index, total, final := message.GetChunkIndex(), message.GetTotalChunks(), message.GetIsFinal()
	switch {
	case total <= 0 || total > in.limits.TotalChunks:
		return fmt.Sprintf("total_chunks is %d, it must be 1 to %d", total, in.limits.TotalChunks)
	case in.index > 0 && total != in.total:
		return fmt.Sprintf("total_chunks changed from %d to %d in chunk %d", in.total, total, in.index)
	case index != in.index:
		return fmt.Sprintf("chunk_index is %d where %d was due", index, in.index)
	case index >= total:
		return fmt.Sprintf("chunk_index is %d of %d chunks", index, total)
	case final && index != total-1:
		return fmt.Sprintf("chunk %d of %d is marked final, only the last may be", index, total)
	case !final && index == total-1:
		return fmt.Sprintf("chunk %d is the last of %d and not marked final", index, total)
	}
	in.total = total
	return ""
}

// decode reads the updates of every results message of a chunk, in order.
// Services of other kinds are accepted and say nothing here.
func (in *intake) decode(message *monitoring.GatewayStatusChunk) ([]payload.Update, error) {
	var updates []payload.Update
	// All that is packed in one message may unpack to what one may hold.
	room := payload.MaxResultsMessage
	for i, service := range message.GetServices() {
		if !isSyncResults(service) {
			continue
		}
		if len(service.GetMessage()) > payload.MaxResultsMessage {
			return nil, in.refuse(codes.ResourceExhausted, ReasonMessageTooLong,
				fmt.Sprintf("chunk %d: a results message is %d bytes long, the limit is %d", in.index, len(service.GetMessage()), payload.MaxResultsMessage))
		}
		decoded, err := in.decodeResults(service.GetMessage(), &room)
		if err != nil {
			return nil, in.badUpdate(i, len(message.GetServices()), err)
		}
		if updates == nil {
			updates = decoded
			continue
		}
		if updates = append(updates, decoded...); len(updates) > payload.MaxUpdates {
			return nil, in.refuse(codes.ResourceExhausted, ReasonTooManyUpdates,
				fmt.Sprintf("chunk %d holds more than %d updates", in.index, payload.MaxUpdates))
		}
	}
	return updates, nil
}

// decodeResults reads one results message, packed or not.
func (in *intake) decodeResults(message []byte, room *int) ([]payload.Update, error) {
	if payload.IsPacked(message) {
		unpacked, err := payload.Unpack(in.unpacked, message, *room)
		if err != nil {
			return nil, err
		}
		*room -= len(unpacked)
		in.unpacked, message = unpacked, unpacked
	}
	return payload.DecodeUpdates(message, in.now())
}

// badUpdate says where in the stream an update is refused.
func (in *intake) badUpdate(service, services int, err error) error {
	var refused *payload.UpdateError
	if !errors.As(err, &refused) {
		return err
	}
	in.count(ReasonBadUpdate)
	place := fmt.Sprintf("chunk %d", in.index)
	if services > 1 {
		place += fmt.Sprintf(", service %d", service)
	}
	return status.Errorf(refused.Code, "%s: %s", place, refused.Error())
}
