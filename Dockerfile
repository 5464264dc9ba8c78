# A small image of TaskFlow: built in one stage, run in another, as a user of its own.
FROM rust:1.95-slim-bookworm AS build
RUN apt-get update \
    && apt-get install -y --no-install-recommends gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN cargo build --release --locked -p taskflow && strip target/release/taskflow

FROM debian:bookworm-slim
# Root certificates: tasks of kind http call https.
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --system --gid 10001 taskflow \
    && useradd --system --uid 10001 --gid taskflow --no-create-home --home-dir /data --shell /usr/sbin/nologin taskflow \
    && install -d -o taskflow -g taskflow -m 700 /data
COPY --from=build /src/target/release/taskflow /usr/local/bin/taskflow
# By number: Kubernetes must see that it is not root.
USER 10001:10001
WORKDIR /data
VOLUME /data
# Inside the container every address is the container's own; set API_KEY before you publish the port.
ENV HOST=0.0.0.0 PORT=8000 DATABASE_URL=sqlite:////data/taskflow.db LOG_FORMAT=json
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s CMD ["taskflow", "health"]
ENTRYPOINT ["taskflow"]
CMD ["serve"]
