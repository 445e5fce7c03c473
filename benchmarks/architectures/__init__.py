"""Every architecture, made tiny, under every plan and kind of lesion: equal to TransformerLens' own run, or refused."""
