// SPDX-License-Identifier: Apache-2.0
// Programs whose stacks are known by construction: who calls whom is written here, and hotspot_test.py says what each
// stack below `main` may be.
import java.io.InputStream;
import java.lang.invoke.MethodHandle;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.MethodType;
import java.lang.reflect.Method;
import java.util.concurrent.locks.LockSupport;
import java.util.stream.IntStream;

public class HotspotTruth {
    public static volatile long sink;

    public static int leaf(int n) {
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

    static final MethodHandle HANDLE = handle();

    static MethodHandle handle() {
        try {
            return MethodHandles.lookup().findStatic(HotspotTruth.class, "leaf",
                                                     MethodType.methodType(int.class, int.class));
        } catch (ReflectiveOperationException e) {
            throw new IllegalStateException(e);
        }
    }

    // Through a constant handle, which compiles to a call, and through one that the compiler does not know.
    static void handles() throws Throwable {
        MethodHandle unknown = MethodHandles.dropArguments(HANDLE, 1, int.class);
        for (int i = 0; i < 10; i++)
            sink += (int) HANDLE.invokeExact(i) + (int) unknown.invoke(i, i);
    }

    // One call that never returns for as long as its loop is compiled: replaced while it is on the stack.
    static void osr() {
        int s = 1;
        for (int i = 0; i < 20_000_000; i++)
            s = s * 31 + i;
        sink += s;
    }

    static int \ud840\udc00(int n) { return leaf(n); }

    static void wide() {
        for (int i = 0; i < 20; i++)
            sink += \ud840\udc00(i);
    }

    // Classes that are loaded by a loader of their own each time, and forgotten: always the same names.
    public static class Reloaded implements Runnable {
        static int own(int n) {
            int s = n;
            for (int i = 0; i < 3000; i++)
                s = s * 31 + i;
            return s;
        }
        public void run() {
            for (int i = 0; i < 500; i++)
                sink += own(i);
        }
    }

    static class Loader extends ClassLoader {
        final String own;
        Loader(String own) {
            super(HotspotTruth.class.getClassLoader());
            this.own = own;
        }
        @Override protected Class<?> loadClass(String name, boolean resolve) throws ClassNotFoundException {
            if (!name.equals(own))
                return super.loadClass(name, resolve);
            try (InputStream in = HotspotTruth.class.getResourceAsStream("/" + name + ".class")) {
                byte[] bytes = in.readAllBytes();
                return defineClass(name, bytes, 0, bytes.length);
            } catch (java.io.IOException e) {
                throw new ClassNotFoundException(name, e);
            }
        }
    }

    static int reloads;

    static void reloaded() throws Exception {
        Class<?> c = new Loader("HotspotTruth$Reloaded").loadClass("HotspotTruth$Reloaded");
        Runnable r = (Runnable) c.getDeclaredConstructor().newInstance();
        for (int i = 0; i < 20; i++)
            r.run();
        if (++reloads % 5 == 0)
            System.gc();
    }

    // Code that stands on "this class has no other subclass" is thrown away, while it waits, whenever one is loaded.
    public static class Assumed {
        public int work(int n) throws Exception { return n % 400 == 0 ? surprise(n) : leaf(n); }
    }
    public static class Surprise extends Assumed {
        @Override public int work(int n) { return leaf(n); }
    }

    static int surprise(int n) throws Exception {
        Class<?> c = new Loader("HotspotTruth$Surprise").loadClass("HotspotTruth$Surprise");
        return ((Assumed) c.getDeclaredConstructor().newInstance()).work(n + 1);
    }

    static int drive(Assumed a, int n) throws Exception { return a.work(n) + 1; }

    static void deopts() throws Exception {
        Assumed a = new Assumed();
        for (int i = 1; i <= 800; i++)
            sink += drive(a, i);
    }

    // On a virtual thread: it parks a hundred calls deep, and works there when it has come back.
    static int descend(int n) {
        if (n > 0)
            return descend(n - 1) + 1;
        int s = 0;
        LockSupport.parkNanos(1000);
        for (int i = 0; i < 200; i++)
            s += leaf(i);
        return s;
    }

    static void virtualRun() { sink += descend(100); }

    static void virtuals() throws Exception {
        Thread t = (Thread) Thread.class.getMethod("startVirtualThread", Runnable.class)
                           .invoke(null, (Runnable) HotspotTruth::virtualRun);
        t.join();
    }

    // Threads that park a few calls deep, and may go on on another carrier: so few frames come back all at once.
    static int shallow(int n) {
        if (n > 0)
            return shallow(n - 1) + 1;
        int s = 0;
        LockSupport.parkNanos(1_000_000);
        for (int i = 0; i < 100; i++)
            s += leaf(i);
        return s;
    }

    static void parkedRun() {
        for (int i = 0; i < 20; i++)
            sink += shallow(i);
    }

    // Three methods in turn, with more arguments than registers; every twentieth parks on its way down and works on its
    // way back, several threads at once, with garbage: chunks of all sizes, with parents, moved by the collector.
    static int p(int n, int a, int b, int c, int d, int e, int f, int g) {
        return back(n, n > 0 ? q(down(n), b, c, d, e, f, g, a) + a : 0);
    }

    static int q(int n, int a, int b, int c, int d, int e, int f, int g) {
        return back(n, n > 0 ? r(down(n), b, c, d, e, f, g, a) + b : 0);
    }

    static int r(int n, int a, int b, int c, int d, int e, int f, int g) {
        return back(n, n > 0 ? p(down(n), b, c, d, e, f, g, a) + c : 0);
    }

    static int down(int n) {
        if (n % 20 == 0)
            LockSupport.parkNanos(1);
        return n - 1;
    }

    static volatile byte[] waste;

    static int back(int n, int value) {
        if (n % 20 == 0) {
            waste = new byte[20000];
            for (int i = 0; i < 20; i++)
                value += leaf(i);
        }
        return value;
    }

    static void partsRun() { sink += p(300, 1, 2, 3, 4, 5, 6, 7); }

    static void eight(Runnable run) throws Exception {
        Thread[] threads = new Thread[8];
        for (int i = 0; i < threads.length; i++)
            threads[i] = (Thread) Thread.class.getMethod("startVirtualThread", Runnable.class).invoke(null, run);
        for (Thread t : threads)
            t.join();
    }

    static void parts() throws Exception { eight(HotspotTruth::partsRun); }
    static void parked() throws Exception { eight(HotspotTruth::parkedRun); }

    // Intrinsics of the compilers' that keep something on the stack below their frame for a few instructions.
    static final String[] TEXTS = new String[64];
    static final double[] NUMBERS = {1e300, Double.NaN, -1e300, 3.5};

    static {
        for (int i = 0; i < TEXTS.length; i++)
            TEXTS[i] = "a text of some length, so that it takes a moment to look at: ".repeat(2 + i % 3)
                       + (i % 4 == 0 ? "\u0416" : "") + (i % 16);
    }

    static int compare(String a, String b) { return a.compareTo(b); }
    static int search(String a, String b) { return a.indexOf(b); }
    static int encode(String a) { return a.getBytes(java.nio.charset.StandardCharsets.ISO_8859_1).length; }

    static int round(double[] numbers) {
        int s = 0;
        for (int i = 0; i < 200; i++)
            s += (int) numbers[i & 3] + (int) (long) (numbers[i & 3] * i) + (int) (float) numbers[i & 3];
        return s;
    }

    static void texts() {
        for (int i = 0; i < TEXTS.length; i++) {
            String a = TEXTS[i], b = TEXTS[(i + 12) % TEXTS.length];
            sink += compare(a, b) + search(a, "look at: 1") + search(a, b) + encode(a) + round(NUMBERS);
        }
    }

    // Native code that was called without JNI, and calls back: java.lang.foreign, by its names, as this is compiled for 11.
    public static int order(int a, int b) { return leaf(a) < leaf(b) ? -1 : 1; }
    public static int small(int a, int b) { return a < b ? -1 : 1; }

    static Object call(Object on, String type, String name, Class<?>[] types, Object... values) throws Exception {
        return Class.forName("java.lang.foreign." + type).getMethod(name, types).invoke(on, values);
    }

    static Object ofInts, qsort, comparator, cheap, sorted;

    static void prepareUpcalls() throws Exception {
        String f = "java.lang.foreign.";
        Class<?> layout = Class.forName(f + "MemoryLayout"), segment = Class.forName(f + "MemorySegment");
        Class<?> layouts = java.lang.reflect.Array.newInstance(layout, 0).getClass();
        Class<?> description = Class.forName(f + "FunctionDescriptor"), arena = Class.forName(f + "Arena");
        Class<?> option = Class.forName(f + "Linker$Option");
        Class<?> options = java.lang.reflect.Array.newInstance(option, 0).getClass();
        Object none = java.lang.reflect.Array.newInstance(option, 0);
        Object integer = Class.forName(f + "ValueLayout").getField("JAVA_INT").get(null);
        Object size = Class.forName(f + "ValueLayout").getField("JAVA_LONG").get(null);
        Object address = Class.forName(f + "ValueLayout").getField("ADDRESS").get(null);
        Object linker = call(null, "Linker", "nativeLinker", new Class<?>[0]);
        Object global = call(null, "Arena", "global", new Class<?>[0]);
        Object lookup = call(linker, "Linker", "defaultLookup", new Class<?>[0]);
        Object found = ((java.util.Optional<?>) call(lookup, "SymbolLookup", "find", new Class<?>[] {String.class}, "qsort"))
                       .get();
        Object takes = java.lang.reflect.Array.newInstance(layout, 4), compares = java.lang.reflect.Array.newInstance(layout, 2);
        Object[] four = {address, size, size, address}, two = {integer, integer};
        System.arraycopy(four, 0, takes, 0, 4);
        System.arraycopy(two, 0, compares, 0, 2);
        Object sorts = call(null, "FunctionDescriptor", "ofVoid", new Class<?>[] {layouts}, takes);
        ofInts = call(null, "FunctionDescriptor", "of", new Class<?>[] {layout, layouts}, integer, compares);
        qsort = call(linker, "Linker", "downcallHandle", new Class<?>[] {segment, description, options}, found, sorts, none);
        Class<?>[] stub = {MethodHandle.class, description, arena, options};
        MethodType type = MethodType.methodType(int.class, int.class, int.class);
        // What qsort hands over are addresses: their lower halves are numbers like any other.
        comparator = call(linker, "Linker", "upcallStub", stub,
                          MethodHandles.lookup().findStatic(HotspotTruth.class, "order", type), ofInts, global, none);
        cheap = call(linker, "Linker", "upcallStub", stub,
                     MethodHandles.lookup().findStatic(HotspotTruth.class, "small", type), ofInts, global, none);
        sorted = call(global, "Arena", "allocate", new Class<?>[] {long.class}, 4000L);
    }

    static void upcalls() throws Throwable {
        if (qsort == null)
            prepareUpcalls();
        MethodHandle handle = (MethodHandle) qsort;
        handle.invokeWithArguments(sorted, 20L, 4L, comparator);
        for (int i = 0; i < 10; i++)
            handle.invokeWithArguments(sorted, 1000L, 4L, cheap);
    }

    public static void main(String[] args) throws Throwable {
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
            case "handles": handles(); break;
            case "osr": osr(); break;
            case "wide": wide(); break;
            case "reloaded": reloaded(); break;
            case "deopts": deopts(); break;
            case "virtuals": virtuals(); break;
            case "parts": parts(); break;
            case "parked": parked(); break;
            case "texts": texts(); break;
            case "upcalls": upcalls(); break;
            default: throw new IllegalArgumentException(args[0]);
            }
        }
    }
}
