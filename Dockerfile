# medseg, and the tracking server of a team (docker-compose.yml). On processors:
#   docker build -t medseg .
# For NVIDIA GPUs, whose driver is the host's:
#   docker build -t medseg:cuda --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cu130 .
FROM python:3.12.12-slim-bookworm

ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu

ENV PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    MLFLOW_DISABLE_TELEMETRY=true \
    DO_NOT_TRACK=true \
    MEDSEG_CACHE=/work/.cache \
    MEDSEG_CONFIG=/work/.config

RUN useradd --create-home --uid 1000 medseg \
    && install -d -o medseg -g medseg /work /data /artifacts

WORKDIR /src
COPY . .
# torch first, from its own index; then medseg with the pins that its tests pass with, and what the server needs beside
# (extra `server`): the driver of PostgreSQL, the forms of MLflow's password pages, and S3.
RUN grep -E '^torch(vision)?==' constraints.txt > /tmp/torch.txt \
    && pip install --index-url "$TORCH_INDEX" -r /tmp/torch.txt \
    && pip install -c constraints.txt ".[server]" \
    && rm -rf /src/* /tmp/torch.txt

USER medseg
WORKDIR /work
ENTRYPOINT ["medseg"]
CMD ["--help"]
