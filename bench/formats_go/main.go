// SPDX-License-Identifier: Apache-2.0

// Google's Go encoder on a profile that formats_bench wrote: reads the file, writes it again as often as told, and
// prints CPU nanoseconds a writing, samples, the sum of the last value, and bytes: packed, then plain.
// usage: formats_go FILE.pb.gz TIMES
package main

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"syscall"

	"github.com/google/pprof/profile"
)

func cpuNanoseconds() int64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err)
	}
	return usage.Utime.Nano() + usage.Stime.Nano()
}

func measure(times int, write func(*bytes.Buffer) error) (int64, int, error) {
	var size int
	begin := cpuNanoseconds()
	for i := 0; i < times; i++ {
		var out bytes.Buffer
		if err := write(&out); err != nil {
			return 0, 0, err
		}
		size = out.Len()
	}
	return (cpuNanoseconds() - begin) / int64(times), size, nil
}

func run(file string, times int) error {
	in, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	begin := cpuNanoseconds()
	p, err := profile.ParseData(in)
	if err != nil {
		return err
	}
	parse := cpuNanoseconds() - begin
	if err := p.CheckValid(); err != nil {
		return err
	}
	var sum int64
	for _, s := range p.Sample {
		sum += s.Value[len(s.Value)-1]
	}
	packed, packedSize, err := measure(times, func(b *bytes.Buffer) error { return p.Write(b) })
	if err != nil {
		return err
	}
	plain, plainSize, err := measure(times, func(b *bytes.Buffer) error { return p.WriteUncompressed(b) })
	if err != nil {
		return err
	}
	fmt.Println(len(p.Sample), sum, packed, packedSize, plain, plainSize, parse)
	return nil
}

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: formats_go FILE.pb.gz TIMES")
		os.Exit(2)
	}
	times, err := strconv.Atoi(os.Args[2])
	if err == nil && times > 0 {
		err = run(os.Args[1], times)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
