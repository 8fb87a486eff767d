// SPDX-License-Identifier: Apache-2.0
package fnprof.example;

import com.amazonaws.services.lambda.runtime.Context;
import com.amazonaws.services.lambda.runtime.RequestHandler;
import java.lang.management.ManagementFactory;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.zip.Deflater;

/**
 * A function to try fnprof on, for AWS Lambda's Java runtime interface client: fnprof.example.Handler.
 *
 * The same function as examples/python/handler.py: what a call does is chosen by `kind` in its payload, and every
 * answer says how much CPU time the call's thread spent and when it ran (CLOCK_MONOTONIC).
 */
public class Handler implements RequestHandler<Map<String, Object>, Map<String, Object>> {
	private static final Map<String, Integer> CATALOGUE = loadCatalogue(4000);
	private static final List<String> KEYS = new ArrayList<>(CATALOGUE.keySet()).subList(0, 600);
	private static final byte[] PAGE = String.join(",", CATALOGUE.keySet()).getBytes(StandardCharsets.UTF_8);

	private static Map<String, Integer> loadCatalogue(int entries) {
		Map<String, Integer> catalogue = new HashMap<>();
		for (int n = 0; n < entries; n++)
			catalogue.put(Integer.toHexString(n * 0x9e3779b1), n % 97 + 3);
		return catalogue;
	}

	private static long cpuNs() {
		return ManagementFactory.getThreadMXBean().getCurrentThreadCpuTime();
	}

	private static byte[] compressReceipt(byte[] data, int length) {
		Deflater deflater = new Deflater(6);
		byte[] out = new byte[length];
		deflater.setInput(data, 0, length);
		deflater.finish();
		deflater.deflate(out);
		deflater.end();
		return out;
	}

	private static byte[] signReceipt(byte[] data) {
		try {
			MessageDigest digest = MessageDigest.getInstance("SHA-256");
			byte[] sum = data;
			for (int i = 0; i < 50; i++)
				sum = digest.digest(sum);
			return sum;
		} catch (java.security.NoSuchAlgorithmException e) {
			throw new IllegalStateException(e);
		}
	}

	private static List<String> rankItems() {
		List<String> keys = new ArrayList<>(KEYS);
		keys.sort(Comparator.comparing((String key) -> CATALOGUE.get(key)).thenComparing(key -> key));
		return keys;
	}

	private static void priceOrder(double milliseconds) {
		long end = cpuNs() + (long) (milliseconds * 1e6);
		while (cpuNs() < end) {
			rankItems();
			compressReceipt(PAGE, 4096);
			signReceipt(PAGE);
		}
	}

	private interface Step {
		void run();
	}

	/** Does a step for so long by the thread's own clock; what it took. */
	private static long during(Step step, double milliseconds) {
		long begin = cpuNs(), end = begin + (long) (milliseconds * 1e6), now;
		do {
			for (int i = 0; i < 10; i++)
				step.run();
			now = cpuNs();
		} while (now < end);
		return now - begin;
	}

	/** Parts of an order one after another, and what each took by ThreadMXBean. */
	private static void phases(double milliseconds, Map<String, Object> answer) {
		answer.put("rank_ns", during(Handler::rankItems, 0.5 * milliseconds));
		answer.put("compress_ns", during(() -> compressReceipt(PAGE, 4096), 0.3 * milliseconds));
		answer.put("sign_ns", during(() -> signReceipt(PAGE), 0.2 * milliseconds));
	}

	private static double number(Map<String, Object> event, String name, double otherwise) {
		Object value = event.get(name);
		return value instanceof Number ? ((Number) value).doubleValue() : otherwise;
	}

	private static void threads(double milliseconds) throws InterruptedException {
		List<Thread> threads = new ArrayList<>();
		for (int i = 0; i < 4; i++) {
			Thread thread = new Thread(() -> priceOrder(milliseconds), "order-" + i);
			thread.start();
			threads.add(thread);
		}
		for (Thread thread : threads)
			thread.join();
	}

	private static void afterwards(double milliseconds) {
		try {
			Thread.sleep(30);
		} catch (InterruptedException e) {
			return;
		}
		priceOrder(milliseconds);
	}

	private static void serve(String kind, Map<String, Object> event, Map<String, Object> answer)
			throws InterruptedException {
		switch (kind) {
		case "fast":
			answer.put("price", CATALOGUE.values().stream().mapToInt(Integer::intValue).sum());
			break;
		case "slow":
		case "native":
			priceOrder(number(event, "ms", 60));
			break;
		case "phases":
			phases(number(event, "ms", 20), answer);
			break;
		case "sleep":
			Thread.sleep((long) number(event, "ms", 60));
			break;
		case "big":
			answer.put("receipt", "x".repeat((int) number(event, "bytes", 300000)));
			break;
		case "threads":
			threads(number(event, "ms", 10));
			break;
		case "after":
			new Thread(() -> afterwards(number(event, "ms", 60)), "after").start();
			break;
		default:
			throw new IllegalArgumentException("the order has no items");
		}
	}

	@Override
	public Map<String, Object> handleRequest(Map<String, Object> event, Context context) {
		Map<String, Object> answer = new HashMap<>();
		long begin = System.nanoTime(), cpu = cpuNs();
		try {
			serve(String.valueOf(event.getOrDefault("kind", "fast")), event, answer);
		} catch (InterruptedException e) {
			throw new IllegalStateException(e);
		}
		answer.put("request_id", context.getAwsRequestId());
		answer.put("cpu_ns", cpuNs() - cpu);
		answer.put("begin_ns", begin);
		answer.put("end_ns", System.nanoTime());
		return answer;
	}
}
