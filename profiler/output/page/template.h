/* SPDX-License-Identifier: Apache-2.0 */
/* The page without its data, made of page.html, page.css and the scripts by the build (embed.cmake). */
#ifndef FNP_PROFILER_OUTPUT_PAGE_TEMPLATE_H
#define FNP_PROFILER_OUTPUT_PAGE_TEMPLATE_H

#include <stddef.h>

extern const unsigned char fnp_page_template_head[]; /* up to where the data stands */
extern const size_t fnp_page_template_head_len;
extern const unsigned char fnp_page_template_tail[]; /* from there on */
extern const size_t fnp_page_template_tail_len;

#endif
