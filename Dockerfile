# docker build -t affect .     (docs/containers.md)
FROM python:3.11-slim

# What OpenCV's build for desktops loads, though nothing here opens a window.
RUN apt-get update \
    && apt-get install -y --no-install-recommends libgl1 libglib2.0-0 \
    && rm -rf /var/lib/apt/lists/*

COPY . /src
RUN pip install --no-cache-dir /src && rm -rf /src

# Nobody in particular: `docker run --user "$(id -u):$(id -g)"` makes files that are yours.
ENV HOME=/tmp MPLCONFIGDIR=/tmp/matplotlib
WORKDIR /data
ENTRYPOINT ["affect"]
CMD ["--help"]
