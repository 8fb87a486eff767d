// SPDX-License-Identifier: Apache-2.0
import com.amazonaws.services.lambda.runtime.Context;
import com.amazonaws.services.lambda.runtime.RequestHandler;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.zip.Deflater;

/** The function of handler.py for the JVM: looks articles up, waits a moment for another service, and renders a page. */
public class Web implements RequestHandler<Map<String, Object>, Map<String, Object>> {
	private static class Article {
		final int shop, price;
		final String title;

		Article(int n) {
			shop = n % 20;
			price = n * 7 % 1000;
			title = "article <" + n + "> of " + n % 37;
		}

		String title() {
			return title;
		}

		int price() {
			return price;
		}
	}

	private static final List<Article> ARTICLES = new ArrayList<>();

	static {
		for (int n = 0; n < 4000; n++)
			ARTICLES.add(new Article(n));
	}

	private static void render(List<Article> found, StringBuilder page) {
		page.append("<html><body><table>");
		for (Article one : found) {
			page.append("<tr><td>").append(one.title.replace("<", "&lt;").replace(">", "&gt;"));
			page.append("</td><td>").append(String.format("%.2f", one.price / 100.0)).append("</td></tr>");
		}
		page.append("</table></body></html>");
	}

	@Override
	public Map<String, Object> handleRequest(Map<String, Object> event, Context context) {
		int shop = ((Number) event.getOrDefault("shop", 3)).intValue();
		List<Article> found = new ArrayList<>();
		for (Article one : ARTICLES) {
			if (one.shop == shop && one.price < 900)
				found.add(one);
		}
		found.sort(Comparator.comparing(Article::price).thenComparing(Article::title));
		try {
			Thread.sleep(2);
			StringBuilder page = new StringBuilder();
			for (int n = 0; n < 10; n++)
				render(found, page);
			byte[] bytes = page.toString().getBytes(StandardCharsets.UTF_8), out = new byte[bytes.length];
			Deflater deflater = new Deflater(4);
			deflater.setInput(bytes);
			deflater.finish();
			int size = deflater.deflate(out);
			deflater.end();
			return Map.of("etag", MessageDigest.getInstance("SHA-256").digest(bytes).length, "size", size);
		} catch (InterruptedException | java.security.NoSuchAlgorithmException e) {
			throw new IllegalStateException(e);
		}
	}
}
