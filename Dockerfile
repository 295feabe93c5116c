# docker build -t registry.example/nri-netdev:devel .
#
# make image makes the same without a daemon.
FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o /nri-netdev .

FROM scratch
COPY --from=build /nri-netdev /nri-netdev
ENTRYPOINT ["/nri-netdev"]
