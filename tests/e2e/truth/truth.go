// SPDX-License-Identifier: Apache-2.0

// Known stacks of goroutines: recursion, callbacks from sorting, a panic that is recovered, leaves without a frame.
package main

import (
	"os"
	"sort"
	"strconv"
	"sync"
	"time"
)

var sink int

//go:noinline
func leaf(n int) int {
	s := 0
	for i := 0; i < n; i++ {
		s += i ^ sink
	}
	return s
}

//go:noinline
func descend(n int) int {
	if n == 0 {
		return leaf(20000) + 1
	}
	return descend(n-1) + 1
}

type numbers []int

func (v numbers) Len() int      { return len(v) }
func (v numbers) Swap(i, j int) { v[i], v[j] = v[j], v[i] }

//go:noinline
func (v numbers) Less(i, j int) bool { return leaf(10)+v[i] < leaf(10)+v[j] }

//go:noinline
func sorted() int {
	v := make(numbers, 100)
	for i := range v {
		v[i] = i * 31 % 97
	}
	sort.Sort(v)
	return v[3]
}

//go:noinline
func thrower(n int) int {
	if leaf(100) == n {
		return 0
	}
	if n == 0 {
		panic("deep enough")
	}
	return thrower(n-1) + 1
}

//go:noinline
func catcher() {
	defer func() { recover() }()
	thrower(5)
}

//go:noinline
func work(end time.Time) {
	for time.Now().Before(end) {
		for i := 0; i < 16; i++ {
			leaf(descend(40) & 1)
			leaf(sorted() & 1)
			catcher()
		}
	}
}

func main() {
	ms := 300
	if len(os.Args) > 1 {
		ms, _ = strconv.Atoi(os.Args[1])
	}
	end := time.Now().Add(time.Duration(ms) * time.Millisecond)
	var group sync.WaitGroup
	group.Add(1)
	go func() {
		work(end)
		group.Done()
	}()
	work(end)
	group.Wait()
}
