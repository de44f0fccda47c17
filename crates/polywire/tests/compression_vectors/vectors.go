// Writes the lines of vectors.txt that Go's encoders make: those that gRPC and Connect for Go are used with.
//
//	go mod init vectors && go mod tidy && go run vectors.go
package main

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"fmt"
	"io"

	"github.com/andybalholm/brotli"
	"github.com/golang/snappy"
	"github.com/klauspost/compress/zstd"
)

func main() {
	messages := []struct {
		name    string
		message []byte
	}{
		{"empty", nil},
		{"short", []byte("hello, polywire")},
		{"repeats", bytes.Repeat([]byte("polywire "), 5000)},
	}
	encoders := []struct {
		compression string
		create      func(io.Writer) io.WriteCloser
	}{
		{"gzip", func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) }},
		{"deflate", func(w io.Writer) io.WriteCloser { return zlib.NewWriter(w) }},
		{"zstd", func(w io.Writer) io.WriteCloser {
			encoder, err := zstd.NewWriter(w)
			if err != nil {
				panic(err)
			}
			return encoder
		}},
		{"br", func(w io.Writer) io.WriteCloser { return brotli.NewWriter(w) }},
		{"snappy", func(w io.Writer) io.WriteCloser { return snappy.NewBufferedWriter(w) }},
	}
	for _, encoder := range encoders {
		for _, m := range messages {
			var out bytes.Buffer
			w := encoder.create(&out)
			if _, err := w.Write(m.message); err != nil {
				panic(err)
			}
			if err := w.Close(); err != nil {
				panic(err)
			}
			hex := fmt.Sprintf("%x", out.Bytes())
			if hex == "" {
				hex = "-"
			}
			fmt.Println(encoder.compression, "go", m.name, hex)
		}
	}
}
