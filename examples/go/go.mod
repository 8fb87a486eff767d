module fnprof.example/function

go 1.19
