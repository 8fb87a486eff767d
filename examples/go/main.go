// SPDX-License-Identifier: Apache-2.0

// A function to try fnprof on that speaks AWS Lambda's Runtime API by itself, with nothing but net/http: the
// smallest client of the protocol, in a compiled language.
//
// The same function as examples/python/handler.py: what a call does is chosen by `kind` in its payload.
package main

import (
	"bytes"
	"compress/flate"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"sort"
	"strings"
	"sync"
	"syscall"
	"time"
	"unsafe"
)

type event struct {
	Kind  string  `json:"kind"`
	Ms    float64 `json:"ms"`
	Bytes int     `json:"bytes"`
}

var catalogue = loadCatalogue(4000)

func loadCatalogue(entries int) []string {
	keys := make([]string, entries)
	for n := range keys {
		keys[n] = fmt.Sprintf("%08x", uint32(n)*0x9e3779b1)
	}
	return keys
}

func clock(id uintptr) int64 {
	var ts syscall.Timespec
	syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, id, uintptr(unsafe.Pointer(&ts)), 0)
	return ts.Nano()
}

func monotonicNs() int64 { return clock(1) }
func processCPUNs() int64 { return clock(2) }

func compressReceipt(data []byte) {
	w, _ := flate.NewWriter(io.Discard, 6)
	w.Write(data)
	w.Close()
}

func signReceipt(data []byte) [32]byte {
	sum := sha256.Sum256(data)
	for i := 0; i < 200; i++ {
		sum = sha256.Sum256(sum[:])
	}
	return sum
}

func rankItems() {
	keys := append([]string(nil), catalogue[:600]...)
	sort.Strings(keys)
}

func priceOrder(ms float64) {
	end := processCPUNs() + int64(ms*1e6)
	for processCPUNs() < end {
		rankItems()
		compressReceipt([]byte(strings.Join(catalogue[:400], ",")))
		signReceipt([]byte("order"))
	}
}

func orElse(value, otherwise float64) float64 {
	if value == 0 {
		return otherwise
	}
	return value
}

func serve(e event, answer map[string]any) error {
	switch e.Kind {
	case "", "fast":
		answer["price"] = len(catalogue)
	case "slow", "native":
		priceOrder(orElse(e.Ms, 60))
	case "sleep":
		time.Sleep(time.Duration(orElse(e.Ms, 60)) * time.Millisecond)
	case "big":
		answer["receipt"] = strings.Repeat("x", int(orElse(float64(e.Bytes), 300000)))
	case "threads":
		var all sync.WaitGroup
		for i := 0; i < 4; i++ {
			all.Add(1)
			go func() { priceOrder(orElse(e.Ms, 10)); all.Done() }()
		}
		all.Wait()
	case "after":
		time.AfterFunc(30*time.Millisecond, func() { priceOrder(orElse(e.Ms, 60)) })
	default:
		return fmt.Errorf("the order has no items")
	}
	return nil
}

// One turn of the protocol: waits for work, does it, answers.
func turn(base string) error {
	next, err := http.Get(base + "/invocation/next")
	if err != nil {
		return err
	}
	body, err := io.ReadAll(next.Body)
	next.Body.Close()
	if err != nil {
		return err
	}
	id := next.Header.Get("Lambda-Runtime-Aws-Request-Id")
	begin, cpu := monotonicNs(), processCPUNs()
	var e event
	answer := map[string]any{"request_id": id, "begin_ns": begin}
	if err = json.Unmarshal(body, &e); err == nil {
		err = serve(e, answer)
	}
	what := "response"
	if err != nil {
		what = "error"
		answer["errorMessage"] = err.Error()
		answer["errorType"] = "OrderError"
	}
	answer["cpu_ns"] = processCPUNs() - cpu
	answer["end_ns"] = monotonicNs()
	text, _ := json.Marshal(answer)
	post, err := http.Post(base+"/invocation/"+id+"/"+what, "application/json", bytes.NewReader(text))
	if err != nil {
		return err
	}
	io.Copy(io.Discard, post.Body)
	return post.Body.Close()
}

func main() {
	base := "http://" + os.Getenv("AWS_LAMBDA_RUNTIME_API") + "/2018-06-01/runtime"
	for {
		if err := turn(base); err != nil {
			fmt.Fprintln(os.Stderr, "function:", err)
			os.Exit(1)
		}
	}
}
