"""A server's certificate as gRPC takes it: anew for each handshake after it changed."""

import grpc

from vault_server.access.certificates import ServerCertificate
from vault_server.access.control import AccessControl
from vault_server.access.listeners import Listener


def server_credentials(access: AccessControl, listener: Listener) -> grpc.ServerCredentials:
    """The credentials of a listener with TLS. Connections that are there keep what they were made with."""
    file = access.certificate
    assert file is not None  # noqa: S101  # a listener has no TLS without one
    given = file.content

    def as_grpc_takes_it(certificate: ServerCertificate) -> grpc.ServerCertificateConfiguration:
        authorities = certificate.client_authorities if listener.client_certs else None
        return grpc.ssl_server_certificate_configuration([(certificate.key, certificate.chain)], authorities)

    def changed() -> grpc.ServerCertificateConfiguration | None:
        # Called for each handshake, in a thread of gRPC's.
        nonlocal given
        if file.content is given:
            return None
        given = file.content
        return as_grpc_takes_it(given)

    return grpc.dynamic_ssl_server_credentials(
        as_grpc_takes_it(given),
        changed,  # type: ignore[arg-type]  # None: it is what it was
        require_client_authentication=listener.client_certs,
    )
