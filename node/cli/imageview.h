/* What the image commands share. Must not know: how images are built or converted. */
#ifndef TALKOO_CLI_IMAGEVIEW_H
#define TALKOO_CLI_IMAGEVIEW_H

#include <jansson.h>

#include "node/cli/cli.h"
#include "node/cli/workplace.h"
#include "runner/image.h"

/* An image as `--json` shows it; a new reference. */
json_t *image_to_json(const struct image *img);
/* The end of building and importing: says the new image's name, and removes what was used least lately while all together are over
 * the cap; the new one stays. */
void image_is_made(struct cli *c, const struct workplace *place, const struct image *img);

#endif
