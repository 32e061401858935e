# syntax=docker/dockerfile:1
# docker build -t countersign .        The program alone on Debian, as nobody in particular, with its data in /data.

FROM rust:1.95.0-slim-bookworm AS build
WORKDIR /src
# rust-toolchain.toml is left out (.dockerignore): the image is the toolchain, and nothing else is to be fetched for it.
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked --bin countersign \
 && install -D target/release/countersign /out/countersign

FROM debian:bookworm-slim
# Slack is called over TLS; the certificate authorities are the system's.
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates \
 && rm -rf /var/lib/apt/lists/* \
 && groupadd --gid 10001 countersign \
 && useradd --uid 10001 --gid countersign --no-create-home --shell /usr/sbin/nologin countersign \
 && install -d -o countersign -g countersign -m 0700 /data
COPY --from=build /out/countersign /usr/local/bin/countersign
COPY LICENSE /usr/share/doc/countersign/LICENSE
USER 10001:10001
WORKDIR /data
VOLUME /data
EXPOSE 8080
ENV COUNTERSIGN_CONFIG=/etc/countersign/countersign.toml
# Where the kernel gives huge pages to everybody, an idle service could take twice the memory.
ENV MIMALLOC_ALLOW_THP=0
# SIGTERM drains: held calls are answered, and it ends within 20 seconds.
STOPSIGNAL SIGTERM
ENTRYPOINT ["countersign"]
CMD ["serve"]
