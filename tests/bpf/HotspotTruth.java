// SPDX-License-Identifier: Apache-2.0
// Programs whose stacks are known by construction: who calls whom is written here, and hotspot_test.py says what each
// stack below `main` may be.
import java.lang.reflect.Method;
import java.util.stream.IntStream;

public class HotspotTruth {
    static volatile long sink;

    static int leaf(int n) {
        int s = n;
        for (int i = 0; i < 3000; i++)
            s = s * 31 + i;
        return s;
    }

    static int c(int n) { return leaf(n) + 1; }
    static int b(int n) { return c(n) + 1; }
    static int a(int n) { return b(n) + 1; }

    static void chain() { sink += a(3); }

    static int deep(int n) { return n == 0 ? leaf(1) : deep(n - 1) + 1; }

    static void recursion() {
        for (int i = 0; i < 3; i++)
            sink += deep(800);
    }

    static int tiny(int n) { return n + 1; }
    static int tinier(int n) { return tiny(n) ^ tiny(n + 1); }

    static void churn() {
        for (int i = 0; i < 1000; i++)
            sink += tinier(i);
    }

    static void lambdas() {
        sink += IntStream.range(0, 50).map(x -> leaf(x)).sum();
    }

    interface Shape { int area(int n); }
    static class Square implements Shape { public int area(int n) { return leaf(n); } }
    static class Circle implements Shape { public int area(int n) { return leaf(n + 1); } }
    static class Line implements Shape { public int area(int n) { return leaf(n + 2); } }
    static final Shape[] shapes = {new Square(), new Circle(), new Line()};

    static void interfaces() {
        for (int i = 0; i < 30; i++)
            sink += shapes[i % 3].area(i);
    }

    static int thrower(int n) {
        if (n == 0)
            throw new IllegalStateException("known");
        return thrower(n - 1) + 1;
    }

    static void exceptions() {
        for (int i = 0; i < 20; i++) {
            try {
                sink += thrower(5);
            } catch (IllegalStateException e) {
                sink += leaf(1);
            }
        }
    }

    public static int called(int n) { return leaf(n); }

    static void callbacks() throws Exception {
        Method method = HotspotTruth.class.getMethod("called", int.class);
        for (int i = 0; i < 20; i++)
            sink += (Integer) method.invoke(null, i);
    }

    static void copies() {
        byte[] from = new byte[100000], to = new byte[100000];
        for (int i = 0; i < 200; i++)
            System.arraycopy(from, 0, to, 0, from.length - (i & 7));
        sink += to[5];
    }

    static synchronized int locked(int n) { return leaf(n); }

    static void locks() {
        for (int i = 0; i < 20; i++)
            sink += locked(i);
    }

    static void garbage() {
        byte[][] keep = new byte[100][];
        for (int i = 0; i < 5000; i++)
            keep[i % 100] = new byte[1000];
        sink += keep[3].length;
    }

    public static void main(String[] args) throws Exception {
        long end = System.nanoTime() + Long.parseLong(args[1]) * 1_000_000L;
        while (System.nanoTime() < end) {
            switch (args[0]) {
            case "chain": chain(); break;
            case "recursion": recursion(); break;
            case "churn": churn(); break;
            case "lambdas": lambdas(); break;
            case "interfaces": interfaces(); break;
            case "exceptions": exceptions(); break;
            case "callbacks": callbacks(); break;
            case "copies": copies(); break;
            case "locks": locks(); break;
            case "garbage": garbage(); break;
            default: throw new IllegalArgumentException(args[0]);
            }
        }
    }
}
