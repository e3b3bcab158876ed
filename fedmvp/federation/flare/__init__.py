"""The federation over NVIDIA FLARE: each site on a machine of its own, over mutual TLS.

Nothing outside this package imports nvflare; it comes with the extra ``flare``. FLARE carries
messages, starts a process per job and admits only holders of a certificate. It computes nothing:
the round loop is in `fedmvp.federation.rounds`, a site's part in `fedmvp.federation.site`.
"""
