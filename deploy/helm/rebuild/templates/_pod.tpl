{{- define "rebuild.labels" -}}
app.kubernetes.io/name: rebuild
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "rebuild.job" -}}
backoffLimit: {{ .Values.backoffLimit }}
activeDeadlineSeconds: {{ .Values.activeDeadlineSeconds }}
# A node that is drained is no failure of the run.
podFailurePolicy:
  rules:
    - action: Ignore
      onPodConditions:
        - type: DisruptionTarget
    # The run was taken back, or the spec is wrong: another pod would begin a new one.
    - action: FailJob
      onExitCodes:
        operator: In
        values: [1, 2]
template:
  metadata:
    labels:
      {{- include "rebuild.labels" . | nindent 6 }}
    {{- with .Values.podAnnotations }}
    annotations:
      {{- toYaml . | nindent 6 }}
    {{- end }}
  spec:
    serviceAccountName: {{ .Release.Name }}
    restartPolicy: Never
    # A run that is told to stop finishes its step.
    terminationGracePeriodSeconds: 120
    securityContext:
      runAsNonRoot: true
      runAsUser: 65532
      runAsGroup: 65532
      fsGroup: 65532
      # Once is enough, and later ones would open the store's own folder to the group.
      fsGroupChangePolicy: OnRootMismatch
      seccompProfile:
        type: RuntimeDefault
    {{- with .Values.imagePullSecrets }}
    imagePullSecrets:
      {{- toYaml . | nindent 6 }}
    {{- end }}
    containers:
      - name: rebuild
        image: {{ required "image.repository names the image that deploy/Dockerfile builds" .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
        imagePullPolicy: {{ .Values.image.pullPolicy }}
        args:
          - --file=/work/spec/rebuild.toml
          {{- range .Values.command }}
          - {{ . | quote }}
          {{- end }}
        securityContext:
          allowPrivilegeEscalation: false
          readOnlyRootFilesystem: true
          capabilities:
            drop: [ALL]
        env:
          - name: TMPDIR
            value: /tmp
          {{- range $name, $value := .Values.env }}
          - name: {{ $name }}
            value: {{ $value | quote }}
          {{- end }}
        {{- with .Values.envFromSecrets }}
        envFrom:
          {{- range . }}
          - secretRef:
              name: {{ . }}
          {{- end }}
        {{- end }}
        resources:
          {{- toYaml .Values.resources | nindent 10 }}
        volumeMounts:
          - name: spec
            mountPath: /work/spec
            readOnly: true
          - name: tmp
            mountPath: /tmp
          {{- if .Values.store.existingClaim }}
          - name: store
            mountPath: /work/store
          {{- end }}
    volumes:
      - name: spec
        configMap:
          name: {{ .Release.Name }}
      - name: tmp
        emptyDir: {}
      {{- if .Values.store.existingClaim }}
      - name: store
        persistentVolumeClaim:
          claimName: {{ .Values.store.existingClaim }}
      {{- end }}
    {{- with .Values.nodeSelector }}
    nodeSelector:
      {{- toYaml . | nindent 6 }}
    {{- end }}
    {{- with .Values.tolerations }}
    tolerations:
      {{- toYaml . | nindent 6 }}
    {{- end }}
    {{- with .Values.affinity }}
    affinity:
      {{- toYaml . | nindent 6 }}
    {{- end }}
{{- end }}
