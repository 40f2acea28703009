"""The service over gRPC.

service         the RPCs: decode, check, call a Store, encode
write_stream    the messages of a streamed write; `watch_groups` those of a watch
reply_limits    replies that stay under the message limit; `batch_slices` large batches beside small calls
interceptor     what surrounds every RPC; `call_context` what an RPC is given of its caller
admission       which calls may run, and how long each may wait for its peer
refusal_log     what is logged; `public_errors` what peers are shown of the storage's errors
health          grpc.health.v1
"""
